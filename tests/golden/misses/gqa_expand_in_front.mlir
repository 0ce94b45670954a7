// Near miss `gqa_expand_in_front` of `gqa_expand`: The expanded dim before the kv heads: tiled again.
// Read as: full, 8 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,8,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,2,63,40],f32>, %arg1: !torch.vtensor<[2,2,63,40],f32>, %arg2: !torch.vtensor<[2,8,63,40],f32>) -> !torch.vtensor<[2,8,63,40],f32> {
    %int1 = torch.constant.int 1
    %0 = torch.aten.unsqueeze %arg0, %int1 : !torch.vtensor<[2,2,63,40],f32>, !torch.int -> !torch.vtensor<[2,1,2,63,40],f32>
    %int2 = torch.constant.int 2
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %int40 = torch.constant.int 40
    %1 = torch.prim.ListConstruct %int2, %int4, %int2, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %2 = torch.aten.expand %0, %1, %false : !torch.vtensor<[2,1,2,63,40],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,2,63,40],f32>
    %int8 = torch.constant.int 8
    %3 = torch.prim.ListConstruct %int2, %int8, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %4 = torch.aten.reshape %2, %3 : !torch.vtensor<[2,4,2,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,8,63,40],f32>
    %5 = torch.aten.unsqueeze %arg1, %int1 : !torch.vtensor<[2,2,63,40],f32>, !torch.int -> !torch.vtensor<[2,1,2,63,40],f32>
    %6 = torch.aten.expand %5, %1, %false : !torch.vtensor<[2,1,2,63,40],f32>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,4,2,63,40],f32>
    %7 = torch.aten.reshape %6, %3 : !torch.vtensor<[2,4,2,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,8,63,40],f32>
    %8:2 = torch.operator "torch.hyper.attention"(query = %arg2, key = %4, value = %7, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,8,63,40],f32>) -> (!torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,8,63],f32>) 
    return %8#0 : !torch.vtensor<[2,8,63,40],f32>
  }
}

// Form `gqa_rank_five_expanded`: Groups in a dim of their own, K and V with a dim of one there.
// Read as: full, 8 heads over 2 kv heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,2,63,40],f32>, !torch.vtensor<[2,2,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,8,63,40],f32>, %arg1: !torch.vtensor<[2,2,63,40],f32>, %arg2: !torch.vtensor<[2,2,63,40],f32>) -> !torch.vtensor<[2,8,63,40],f32> {
    %int2 = torch.constant.int 2
    %int4 = torch.constant.int 4
    %int63 = torch.constant.int 63
    %int40 = torch.constant.int 40
    %0 = torch.prim.ListConstruct %int2, %int2, %int4, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.view %arg0, %0 : !torch.vtensor<[2,8,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,2,4,63,40],f32>
    %2 = torch.aten.unsqueeze %arg1, %int2 : !torch.vtensor<[2,2,63,40],f32>, !torch.int -> !torch.vtensor<[2,2,1,63,40],f32>
    %3 = torch.aten.unsqueeze %arg2, %int2 : !torch.vtensor<[2,2,63,40],f32>, !torch.int -> !torch.vtensor<[2,2,1,63,40],f32>
    %int1 = torch.constant.int 1
    %4 = torch.aten.flatten.using_ints %1, %int1, %int2 : !torch.vtensor<[2,2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,8,63,40],f32>
    %int0 = torch.constant.int 0
    %5 = torch.aten.select.int %2, %int2, %int0 : !torch.vtensor<[2,2,1,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,2,63,40],f32>
    %6 = torch.aten.unsqueeze %5, %int2 : !torch.vtensor<[2,2,63,40],f32>, !torch.int -> !torch.vtensor<[2,2,1,63,40],f32>
    %7 = torch.aten.squeeze.dim %6, %int2 : !torch.vtensor<[2,2,1,63,40],f32>, !torch.int -> !torch.vtensor<[2,2,63,40],f32>
    %8 = torch.aten.select.int %3, %int2, %int0 : !torch.vtensor<[2,2,1,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,2,63,40],f32>
    %9 = torch.aten.unsqueeze %8, %int2 : !torch.vtensor<[2,2,63,40],f32>, !torch.int -> !torch.vtensor<[2,2,1,63,40],f32>
    %10 = torch.aten.squeeze.dim %9, %int2 : !torch.vtensor<[2,2,1,63,40],f32>, !torch.int -> !torch.vtensor<[2,2,63,40],f32>
    %11:2 = torch.operator "torch.hyper.attention"(query = %4, key = %7, value = %10, algorithm = "exact") : (!torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,2,63,40],f32>, !torch.vtensor<[2,2,63,40],f32>) -> (!torch.vtensor<[2,8,63,40],f32>, !torch.vtensor<[2,8,63],f32>) 
    %12 = torch.prim.ListConstruct %int2, %int4 : (!torch.int, !torch.int) -> !torch.list<int>
    %13 = torch.aten.unflatten.int %11#0, %int1, %12 : !torch.vtensor<[2,8,63,40],f32>, !torch.int, !torch.list<int> -> !torch.vtensor<[2,2,4,63,40],f32>
    %14 = torch.aten.flatten.using_ints %13, %int1, %int2 : !torch.vtensor<[2,2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,8,63,40],f32>
    return %14 : !torch.vtensor<[2,8,63,40],f32>
  }
}

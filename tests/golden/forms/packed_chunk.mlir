// Form `packed_chunk`
// Read as: full, 4 heads, scale 0.158114
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,63,480],f32>) -> !torch.vtensor<[2,63,160],f32> {
    %int3 = torch.constant.int 3
    %int-1 = torch.constant.int -1
    %0 = torch.aten.chunk %arg0, %int3, %int-1 : !torch.vtensor<[2,63,480],f32>, !torch.int, !torch.int -> !torch.list<vtensor>
    %1:3 = torch.prim.ListUnpack %0 : !torch.list<vtensor> -> !torch.vtensor<[2,63,160],f32>, !torch.vtensor<[2,63,160],f32>, !torch.vtensor<[2,63,160],f32>
    %int2 = torch.constant.int 2
    %int63 = torch.constant.int 63
    %int4 = torch.constant.int 4
    %int40 = torch.constant.int 40
    %2 = torch.prim.ListConstruct %int2, %int63, %int4, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %3 = torch.aten.view %1#0, %2 : !torch.vtensor<[2,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %int1 = torch.constant.int 1
    %4 = torch.aten.transpose.int %3, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %5 = torch.aten.view %1#1, %2 : !torch.vtensor<[2,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %6 = torch.aten.transpose.int %5, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %7 = torch.aten.view %1#2, %2 : !torch.vtensor<[2,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %8 = torch.aten.transpose.int %7, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %9:2 = torch.operator "torch.hyper.attention"(query = %4, key = %6, value = %8, scale = 0.15811388300841897, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    %10 = torch.aten.transpose.int %9#0, %int1, %int2 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,63,4,40],f32>
    %int160 = torch.constant.int 160
    %11 = torch.prim.ListConstruct %int2, %int63, %int160 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %12 = torch.aten.reshape %10, %11 : !torch.vtensor<[2,63,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,63,160],f32>
    return %12 : !torch.vtensor<[2,63,160],f32>
  }
}

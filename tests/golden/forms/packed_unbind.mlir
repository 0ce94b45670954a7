// Form `packed_unbind`: timm: reshape, permute, unbind.
// Read as: full, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,63,480],f32>) -> !torch.vtensor<[2,63,160],f32> {
    %int2 = torch.constant.int 2
    %int63 = torch.constant.int 63
    %int3 = torch.constant.int 3
    %int4 = torch.constant.int 4
    %int40 = torch.constant.int 40
    %0 = torch.prim.ListConstruct %int2, %int63, %int3, %int4, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %1 = torch.aten.reshape %arg0, %0 : !torch.vtensor<[2,63,480],f32>, !torch.list<int> -> !torch.vtensor<[2,63,3,4,40],f32>
    %int0 = torch.constant.int 0
    %int1 = torch.constant.int 1
    %2 = torch.prim.ListConstruct %int2, %int0, %int3, %int1, %int4 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %3 = torch.aten.permute %1, %2 : !torch.vtensor<[2,63,3,4,40],f32>, !torch.list<int> -> !torch.vtensor<[3,2,4,63,40],f32>
    %4 = torch.aten.unbind.int %3, %int0 : !torch.vtensor<[3,2,4,63,40],f32>, !torch.int -> !torch.list<vtensor>
    %5:3 = torch.prim.ListUnpack %4 : !torch.list<vtensor> -> !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>
    %float1.581140e-01 = torch.constant.float 0.15811388300841897
    %6 = torch.aten.mul.Scalar %5#0, %float1.581140e-01 : !torch.vtensor<[2,4,63,40],f32>, !torch.float -> !torch.vtensor<[2,4,63,40],f32>
    %7:2 = torch.operator "torch.hyper.attention"(query = %6, key = %5#1, value = %5#2, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    %8 = torch.aten.transpose.int %7#0, %int1, %int2 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,63,4,40],f32>
    %int160 = torch.constant.int 160
    %9 = torch.prim.ListConstruct %int2, %int63, %int160 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %10 = torch.aten.reshape %8, %9 : !torch.vtensor<[2,63,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,63,160],f32>
    return %10 : !torch.vtensor<[2,63,160],f32>
  }
}
